"""What a study has to do: its file, checked, and the plan made from it."""
