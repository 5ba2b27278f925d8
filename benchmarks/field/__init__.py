"""Files written by the evaluation tools themselves."""
