"""What a study is to do: its file, checked, and the plan made of it."""
