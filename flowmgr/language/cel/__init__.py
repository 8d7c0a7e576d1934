"""The part of the Common Expression Language that flows may use, evaluated within a bound."""
