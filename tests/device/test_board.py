"""What the self-test reports about the machine."""

import platform

from niwaki.device import board


def test_names_in_order(tmp_path, monkeypatch):
    model, product = tmp_path / "model", tmp_path / "product"
    monkeypatch.setattr(board, "_MODEL", model)
    monkeypatch.setattr(board, "_PRODUCT", product)
    assert board.model() == f"{platform.system()} {platform.machine()}"
    product.write_text("\n")
    assert board.model() == f"{platform.system()} {platform.machine()}"
    product.write_text("ThinkPad X1\n")
    assert board.model() == "ThinkPad X1"
    model.write_bytes(b"NVIDIA Jetson Nano Developer Kit\0")  # the device tree's strings end so
    assert board.model() == "NVIDIA Jetson Nano Developer Kit"


def test_system():
    assert board.system().startswith(f"Python {platform.python_version()}, ")
    assert str(board.libc()).startswith("glibc 2.")
    assert board.libc() in board.system()


def test_memory_grows_with_what_is_held():
    before = board.memory()
    held = bytearray(b"x" * (64 << 20))
    after = board.memory()
    assert after["VmRSS"] - before["VmRSS"] > 60 << 10
    assert after["VmHWM"] >= after["VmRSS"]
    assert len(held) == 64 << 20
