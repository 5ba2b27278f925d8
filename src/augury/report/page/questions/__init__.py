"""Pictures of answers: what each question's answer looks like."""

from augury.report.page.questions.section import answer_section

__all__ = ["answer_section"]
