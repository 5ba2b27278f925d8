"""Figures of answers to questions."""

from augury.report.page.questions.section import answer_section

__all__ = ["answer_section"]
