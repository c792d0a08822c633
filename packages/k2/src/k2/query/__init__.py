"""Questions: DuckDB on the files of the lake, and on the live tail that no table has yet."""

from k2.query.answers import Rows
from k2.query.engine import Engine
from k2.query.question import Condition, Question
from k2.query.views import TableView, Views

__all__ = ["Condition", "Engine", "Question", "Rows", "TableView", "Views"]
