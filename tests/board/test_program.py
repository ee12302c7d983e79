"""The static program's commands, compiled with sanitizers: pictures good and bad, scores in bulk, exit codes."""

import os
import random
import resource
import shutil
import subprocess

import numpy as np
import pytest

from bundled import need_tool, run_program, scores_of
from niwaki.board.compile import sources
from niwaki.board.decision import Decision
from niwaki.board.known import write_known
from niwaki.board.selftest import make_selftest
from niwaki.device.decision import Rule, energy, judge
from niwaki.emit.generate import generate
from niwaki.vision.reference import Reference

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
SANITIZE = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
NAMES = ('left "top"', "right top", "왼쪽", "right bottom")


def compile_program(folder, graph, data, rule, flags=SANITIZE):
    need_tool("gcc", "gcc libc6-dev")
    files = {**sources(generate(graph).files), "known.c": known(graph, data, rule)}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    code = [name for name in files if name.endswith(".c")]
    command = ["gcc", *STRICT, *flags, "-o", "niwaki", *code, "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "niwaki"


def known(graph, data, rule):
    return write_known(make_selftest(graph, data, 2), NAMES, Decision.of(rule), 2)


@pytest.fixture(scope="module")
def rule(small_graph, small_data, exact):
    """Rejects about half of the test images."""
    values = [energy(logits(small_graph, scores)) for scores in exact(small_data.test.images[:40])]
    return Rule(energy=float(np.median(values)), margin=0.5)


@pytest.fixture(scope="module")
def program(small_graph, small_data, rule, tmp_path_factory):
    """Its network takes 16×16, which is taken for 12×12 with a border of 2."""
    return compile_program(tmp_path_factory.mktemp("program"), small_graph, small_data, rule)


def raw(pixels):
    return b"P5\n%d %d\n255\n" % pixels.shape[::-1] + pixels.tobytes()


def logits(graph, scores):
    output = graph.tensors[graph.output]
    return [(int(score) - output.zero_point) * output.scale for score in scores]


def said_of(graph, scores, rule):
    """The verdict of the runner's rule on them."""
    values = logits(graph, scores)
    best = int(np.argmax(scores))
    sure = judge(values, rule).class_index is not None
    words = NAMES[best] if sure else f"no garment that is known for certain; most like {NAMES[best]}"
    return f"{words} ({values[best]:.2f})"


def test_pictures_of_the_networks_size_go_straight_in(program, small_graph, small_data, exact, rule, tmp_path):
    images = small_data.test.images[:40]
    names = []
    for index, image in enumerate(images):
        names.append(f"{index}.pgm")
        (tmp_path / names[-1]).write_bytes(raw(image[0]))
    done = run_program(program, "classify", *names, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    answers = [said_of(small_graph, scores, rule) for scores in exact(images)]
    assert done.stdout.splitlines() == [f"{name}: {said}" for name, said in zip(names, answers, strict=True)]
    assert 0 < sum("no garment" in said for said in answers) < len(answers)


def test_pictures_of_the_inner_size_are_padded(program, small_graph, exact, rule, tmp_path):
    inner = np.random.default_rng(0).integers(0, 256, (12, 12), dtype=np.uint8)
    (tmp_path / "inner.pgm").write_bytes(raw(inner))
    done = run_program(program, "classify", "inner.pgm", folder=tmp_path)
    scores = exact(np.pad(inner, 2)[None, None])[0]
    assert done.stdout == f"inner.pgm: {said_of(small_graph, scores, rule)}\n"


def test_photographs_go_through_the_vision(program, small_graph, exact, rule, tmp_path):
    photo = np.full((120, 160), 90, np.uint8)
    photo[30:90, 50:110] = 200
    tiny, huge = np.full((120, 160), 90, np.uint8), np.full((120, 160), 90, np.uint8)
    tiny[58:62, 78:82] = 250
    huge[:, 8:] = 250
    outcomes = {}
    for name, frame in {"photo": photo, "tiny": tiny, "huge": huge, "empty": np.full_like(photo, 90)}.items():
        (tmp_path / f"{name}.pgm").write_bytes(raw(frame))
        found = Reference(160, 120, inner=(12, 12)).find(frame)
        outcomes[name] = found.outcome
        done = run_program(program, "classify", f"{name}.pgm", folder=tmp_path)
        expected = {
            "nothing": "no garment: nothing differs from the background",
            "too_small": "no garment: what is there is too small",
            "too_large": "no garment: what is there does not fit into the picture",
        }
        if found.found:
            expected["found"] = said_of(small_graph, exact(np.pad(found.picture, 2)[None, None])[0], rule)
        assert (done.returncode, done.stdout) == (0, f"{name}.pgm: {expected[found.outcome]}\n")
    assert outcomes["photo"] == "found"
    assert outcomes["empty"] == "nothing"
    assert set(outcomes.values()) >= {"found", "nothing", "too_large"}


def test_every_kind_of_pgm_says_the_same(program, tmp_path):
    picture = np.random.default_rng(1).integers(0, 256, (16, 16), dtype=np.uint8)
    digits = " ".join(map(str, picture.reshape(-1)))
    wide = (picture.astype(">u2") * 257).tobytes()  # the same brightness of 65535
    files = {
        "raw": raw(picture),
        "remarks": b"P5 # a remark\n# another\n16\t16 # and here\r\n255\n" + picture.tobytes(),
        "followed": raw(picture) + b"P5 1 1 255 x",
        "plain": f"P2\n16 16\n255\n{digits}\n".encode(),
        "plain remarks": f"P2#\n16 16 255\n{digits.replace(' ', ' # one' + chr(10), 1)}".encode(),
        "wide": b"P5 16 16 65535 " + wide,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    done = run_program(program, "classify", *files, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len({line.split(": ", 1)[1] for line in done.stdout.splitlines()}) == 1
    assert len(done.stdout.splitlines()) == len(files)


BAD = {
    b"": "no PGM (P2 or P5)",
    b"P5": "no PGM",
    b"P6 2 2 255 xxxxxxxxxxxx": "no PGM",
    b"P55 2 2 255 xxxx": "no PGM",
    b"\x89PNG\r\n\x1a\n": "no PGM",
    b"P5 ": "without sides of 1 to 4096",
    b"P5 # a remark without end": "without sides",
    b"P5 -3 4 255 xxxx": "without sides",
    b"P5 0 4 255 xxxx": "without sides",
    b"P5 4097 1 255 x": "without sides of 1 to 4096",
    b"P5 99999999999999999999 2 255 x": "without sides",
    b"P5 2147483648 2147483648 255 x": "without sides",
    b"P5 16 16 0 x": "brightest value is not 1 to 65535",
    b"P5 16 16 65536 x": "brightest value",
    b"P5 16 16 x": "brightest value",
    b"P5 16 16 255": "does not end with a blank",
    b"P5 16 16 255#x": "does not end with a blank",
    b"P5 16 16 255\n" + bytes(255): "truncated: 255 of 256 bytes of pixels: copy or convert it again",
    b"P5 16 16 65535\n" + bytes(511): "truncated: 511 of 512 bytes",
    b"P5 4096 4096 65535\n": "truncated: 0 of 33554432",
    b"P5 1 1 7 \x08": "a pixel is brighter than the header says",
    b"P5 1 1 256 \x01\x01": "a pixel is brighter",
    b"P2 2 2 255 1 2 3": "pixel 4 of 4 is missing",
    b"P2 2 2 255 1 2 3 x": "pixel 4 of 4 is no number",
    b"P2 2 2 255 1 2 3 -4": "pixel 4 of 4 is no number",
    b"P2 2 2 255 1 2 3 256": "pixel 4 of 4 is brighter than the header says",
    b"P2 2 2 255 1 2 3 99999999999999999999": "pixel 4 of 4 is no number",
    raw(np.zeros((5, 300), np.uint8)): "photographs have 16 to 4096 pixels each side",
}


def test_bad_pictures_are_one_line_each(program, tmp_path):
    good = tmp_path / "good.pgm"
    good.write_bytes(raw(np.zeros((16, 16), np.uint8)))
    for number, content in enumerate(BAD):
        (tmp_path / f"{number}.pgm").write_bytes(content)
    names = [f"{number}.pgm" for number in range(len(BAD))]
    done = run_program(program, "classify", *names, "good.pgm", "gone.pgm", ".", folder=tmp_path)
    assert done.returncode == 2
    assert done.stdout.startswith("good.pgm: ")  # one bad picture does not stop the others
    lines = done.stderr.splitlines()
    assert len(lines) == len(BAD) + 2, done.stderr
    for name, line, message in zip(names, lines, BAD.values(), strict=False):
        assert line.startswith(f"niwaki: {name}: ")
        assert message in line
    assert lines[-2] == "niwaki: gone.pgm: No such file or directory"
    assert lines[-1] == "niwaki: .: Is a directory"


def test_damaged_pictures_crash_nothing(program, tmp_path):
    """Bytes changed, cut out and put in, at random; the sanitizers watch."""
    rng = random.Random(0)
    seeds = [raw(np.full((20, 17), 7, np.uint8)), b"P2 3 3 9 1 2 3 4 5 6 7 8 9", *list(BAD)[:20]]
    names = []
    for number in range(400):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.randint(0, 2)] = rng.choice(
                [b"", b" ", b"#", b"9", b"\n", b"-", bytes([rng.randrange(256)])]
            )
        names.append(f"{number}.pgm")
        (tmp_path / names[-1]).write_bytes(data)
    done = run_program(program, "classify", *names, folder=tmp_path)
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) + len(done.stderr.splitlines()) == len(names)
    assert "ERROR" not in done.stderr
    assert "runtime error" not in done.stderr


def test_bulk_scores(program, small_data, exact, tmp_path):
    images = small_data.test.images
    np.testing.assert_array_equal(scores_of(program, images, tmp_path), exact(images))
    (tmp_path / "in.bin").write_bytes(b"")
    assert run_program(program, "scores", "in.bin", "out.bin", folder=tmp_path).returncode == 0
    assert (tmp_path / "out.bin").read_bytes() == b""
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.bin", "out.bin"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "usage: niwaki classify PICTURE.pgm..."),
        (("classify",), 2, "usage:"),
        (("selftest", "x"), 2, "usage:"),
        (("sing",), 2, "usage:"),
        (("scores", "in.bin"), 2, "IN: images of 256 bytes, one after another; OUT: 4 int8 scores each"),
        (("scores", "gone.bin", "out.bin"), 2, "niwaki: gone.bin: No such file or directory"),
        (("scores", "part.bin", "out.bin"), 2, "niwaki: part.bin: ends within an image"),
        (("scores", "in.bin", "no/where"), 4, "niwaki: no/where: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said(program, tmp_path, arguments, code, message):
    (tmp_path / "in.bin").write_bytes(bytes(256))
    (tmp_path / "part.bin").write_bytes(bytes(300))
    done = run_program(program, *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.bin", "part.bin"]


def test_a_pipe_is_written_to_and_not_replaced(program, small_data, exact, tmp_path):
    images = small_data.test.images
    (tmp_path / "in.bin").write_bytes(images.tobytes())
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen([program, "scores", "in.bin", "pipe"], cwd=tmp_path) as running:
        scores = (tmp_path / "pipe").read_bytes()
    assert running.returncode == 0
    assert scores == exact(images).tobytes()
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.bin", "pipe"]


def test_a_link_is_followed_and_not_replaced(program, small_data, exact, tmp_path):
    images = small_data.test.images
    (tmp_path / "in.bin").write_bytes(images.tobytes())
    (tmp_path / "part.bin").write_bytes(images.tobytes()[:-1])
    (tmp_path / "there").mkdir()
    (tmp_path / "out.bin").symlink_to("there/scores.bin")
    for _ in range(2):  # to a file that is not there yet, and to one
        assert run_program(program, "scores", "in.bin", "out.bin", folder=tmp_path).returncode == 0
        assert (tmp_path / "there/scores.bin").read_bytes() == exact(images).tobytes()
    assert run_program(program, "scores", "part.bin", "out.bin", folder=tmp_path).returncode == 2
    assert (tmp_path / "out.bin").is_symlink()
    done = run_program(program, "scores", "in.bin", "there", folder=tmp_path)
    assert (done.returncode, done.stderr) == (4, "niwaki: there: Is a directory\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.bin", "out.bin", "part.bin", "there"]


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_no_error(program, option):
    done = run_program(program, option)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == run_program(program).stderr


def test_a_file_that_is_too_large(program, tmp_path):
    with (tmp_path / "large.pgm").open("wb") as file:
        file.truncate(128 << 20)
    done = run_program(program, "classify", "large.pgm", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("niwaki: large.pgm: larger than 128 MiB: make it smaller, as in: convert ")


def test_a_full_disk_leaves_no_scores(program, tmp_path):
    (tmp_path / "in.bin").write_bytes(bytes(256 * 4000))

    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    command = [str(program), "scores", "in.bin", "out.bin"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, preexec_fn=small_disk, restore_signals=False
    )  # Python ignores SIGXFSZ, and so does its child: the write fails
    assert done.returncode == 4
    assert done.stderr == "niwaki: out.bin: File too large\n"
    assert [file.name for file in tmp_path.iterdir()] == ["in.bin"]


def test_a_closed_standard_output_is_an_error(program, tmp_path):
    if not shutil.which("sh"):
        pytest.skip("needs a shell")
    done = subprocess.run(["sh", "-c", f"{program} selftest >/dev/full"], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr == "niwaki: standard output: No space left on device\n"


def test_selftest_and_bench(program):
    done = run_program(program, "selftest")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == ["images: 100 of 100 exact", "frames: 4 of 4 exact"]
    done = run_program(program, "bench")
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "kernels", "inference", "vision, a frame of 640x480",
    ]  # fmt: skip


def test_selftest_finds_one_wrong_bit(program, small_graph, small_data, rule, tmp_path):
    """In a score, and in a picture of the vision."""
    selftest = make_selftest(small_graph, small_data, 2)
    selftest.scores[37, 2] ^= 1
    selftest.findings[1].picture[5, 5] ^= 1
    folder = shutil.copytree(program.parent, tmp_path / "copy")
    (folder / "known.c").write_bytes(write_known(selftest, NAMES, Decision.of(rule), 2))
    code = [file.name for file in folder.glob("*.c")]
    subprocess.run(["gcc", "-std=c99", "-O0", "-o", "niwaki", *code, "-lm"], cwd=folder, check=True)
    done = run_program(folder / "niwaki", "selftest")
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:] == ["images: 99 of 100 exact", "frames: 3 of 4 exact"]
