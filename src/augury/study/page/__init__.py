"""The page of a study: its answers, what supports them, and every forecast on record."""

from augury.study.page.answers import answers_of
from augury.study.page.story import story_of, study_story

__all__ = ["answers_of", "story_of", "study_story"]
