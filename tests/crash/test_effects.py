"""What activities leave behind says what they did, also where a line of it was torn."""

import os
from pathlib import Path

from tests.crash import effects
from tests.crash.effects import Attempt, Effects, Visit


def test_a_line_that_a_killed_process_left_in_part_does_not_count_and_harms_no_other(
    tmp_path: Path,
) -> None:
    file = tmp_path / "effects"
    effects.write_to(file)
    token = effects.current.set(Attempt("e", "t", 1, 23))
    effects.leave("began")
    whole = file.read_bytes()
    effects.leave("done")
    line = file.read_bytes()[len(whole) :]
    effects.current.reset(token)
    os.close(effects._file.pop())
    for length in range(len(line)):
        file.write_bytes(whole + line[:length] + whole)
        found = Effects(file)
        assert found.count == 2
        assert found.began == {Visit("e", "t", 1): {23: 2}}
        assert not found.done
