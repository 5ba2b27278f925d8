"""The page: an answer in words, the figures that back it, and where all of it came from."""

from augury.report.page.passrate import pass_rate_answer, pass_rate_outlook, pass_rate_section
from augury.report.page.story import Figure, Outlook, Section, Story, Table
from augury.report.page.write import write_page

__all__ = [
    "Figure",
    "Outlook",
    "Section",
    "Story",
    "Table",
    "pass_rate_answer",
    "pass_rate_outlook",
    "pass_rate_section",
    "write_page",
]
