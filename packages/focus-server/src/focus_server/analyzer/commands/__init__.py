"""Commands to jobs that live, sent over AMQP: read, obeyed, or laid aside with a reason."""

from focus_server.analyzer.commands.listener import CommandListener

__all__ = ["CommandListener"]
