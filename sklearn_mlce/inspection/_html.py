"""Styles of tables in notebooks, readable on light and on dark pages."""

# No colour of our own but a grey for the lines, which shows on white and on black.
_LINE = "border:0;border-bottom:1px solid rgba(128,128,128,0.35)"
_CELL = f"{_LINE};padding:0.2em 0.8em;vertical-align:top"
TABLE = "border-collapse:collapse;margin:0.4em 0;background:transparent;color:inherit;font:inherit"
TEXT = f"{_CELL};text-align:left"
NUMBER = f"{_CELL};text-align:right;font-variant-numeric:tabular-nums"
