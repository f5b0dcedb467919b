"""What the demos' command lines have in common."""

from minigen.command_line.arguments import argument_parser, datasets, errors_without_traceback, positive, settings_of

__all__ = ["argument_parser", "datasets", "errors_without_traceback", "positive", "settings_of"]
