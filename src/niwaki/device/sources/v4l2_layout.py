"""What Linux's <linux/videodev2.h> defines, written by hand for a Python without a compiler.

`struct`'s native alignment pads as the C compiler does, so one text works for 32 and 64 bits. Tests compile the real
header: they compare every size and number, and read frames from a library that responds like a camera.
"""

import struct

VIDEO_CAPTURE = 1  # V4L2_BUF_TYPE_
MMAP = 1  # V4L2_MEMORY_
FIELD_NONE = 1  # V4L2_FIELD_: whole pictures, not every other line

CAP_VIDEO_CAPTURE = 0x00000001
CAP_VIDEO_CAPTURE_MPLANE = 0x00001000
CAP_STREAMING = 0x04000000
CAP_IO_MC = 0x20000000  # one part of a pipeline that another program must put together
CAP_DEVICE_CAPS = 0x80000000
BUF_FLAG_ERROR = 0x00000040

_POINTER = struct.calcsize("P")

# driver, card, bus_info, version, capabilities, device_caps, reserved
CAPABILITY = struct.Struct("@16s32s32sIII3I")
# index, type, flags, description, pixelformat, mbus_code, reserved
FMTDESC = struct.Struct("@III32s4sI3I")
# type, (alignment of a union that holds pointers), width, height, pixelformat, field, bytesperline, sizeimage, the rest
FORMAT = struct.Struct("@I{}xII4sIII176s".format(_POINTER - 4))
# the begin of that rest: colour space, private, flags, encoding of YCbCr, quantization
COLOURS = struct.Struct("@5I")
SPACE_JPEG, SPACES_709 = 7, (3, 12)  # V4L2_COLORSPACE_: REC709 and DCI_P3
ENCODINGS_709 = (2, 4)  # V4L2_YCBCR_ENC_: 709 and XV709
FULL_RANGE = 1  # V4L2_QUANTIZATION_FULL_RANGE
# type, capability, capturemode, numerator, denominator, the rest
STREAMPARM = struct.Struct("@IIIII184s")
# count, type, memory, capabilities, flags and reserved
REQUESTBUFFERS = struct.Struct("@IIIII")
# index, type, bytesused, flags, field, timestamp, timecode, sequence, memory, offset (in a union with a pointer),
# length, two reserved; a 0P aligns what follows. On 32 bits the timestamp has 32-bit seconds: kernels accept both
# forms.
BUFFER = struct.Struct("@IIIIIll16sII0PI{}xIII0P".format(_POINTER - 4))


def _number(direction: int, code: int, size: int) -> int:
    """An ioctl request of type 'V': direction 1 writes to the driver, 2 reads from it, 3 does both."""
    return direction << 30 | size << 16 | ord("V") << 8 | code


QUERYCAP = _number(2, 0, CAPABILITY.size)
ENUM_FMT = _number(3, 2, FMTDESC.size)
S_FMT = _number(3, 5, FORMAT.size)
REQBUFS = _number(3, 8, REQUESTBUFFERS.size)
QUERYBUF = _number(3, 9, BUFFER.size)
QBUF = _number(3, 15, BUFFER.size)
DQBUF = _number(3, 17, BUFFER.size)
STREAMON = _number(1, 18, 4)
S_PARM = _number(3, 22, STREAMPARM.size)
