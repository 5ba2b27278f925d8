"""The page: an answer in words, the figures behind it, and its sources."""

from augury.report.page.backtest import backtest_section
from augury.report.page.curves import curve_section, loss_section
from augury.report.page.emergence import emergence_section
from augury.report.page.measurements import measurement_story
from augury.report.page.passrate import pass_rate_outlook, pass_rate_section, pass_rate_verdict
from augury.report.page.server import serve
from augury.report.page.story import Figure, Outlook, Section, Story, StoryVerdict, Table
from augury.report.page.trends import trends_section
from augury.report.page.write import write_page

__all__ = [
    "Figure",
    "Outlook",
    "Section",
    "Story",
    "StoryVerdict",
    "Table",
    "backtest_section",
    "curve_section",
    "emergence_section",
    "loss_section",
    "measurement_story",
    "pass_rate_outlook",
    "pass_rate_section",
    "pass_rate_verdict",
    "serve",
    "trends_section",
    "write_page",
]
