"""What the publisher makes of a failure."""

from focus_server.fiber.publisher import first_cause


def test_the_first_cause_of_nested_groups() -> None:
    cause = ValueError("the cause")
    nested = ExceptionGroup("outer", [ExceptionGroup("inner", [cause]), KeyError("other")])
    assert first_cause(nested) is cause
