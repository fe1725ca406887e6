"""JSON without NaN and infinities."""

from __future__ import annotations

import json
import math

from seqzoo.contracts.strict_json import finite, to_json


def test_numbers_that_are_not_finite_are_null() -> None:
    value = {"nan": math.nan, "deep": [{"inf": math.inf}, (-math.inf, 1.5)], "text": "ü", "true": True, "number": 2}
    text = to_json(value)
    assert text == '{"nan": null, "deep": [{"inf": null}, [null, 1.5]], "text": "ü", "true": true, "number": 2}'
    assert json.loads(text) == finite(value)
