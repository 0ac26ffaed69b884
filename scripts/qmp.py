# SPDX-License-Identifier: MIT
"""The one thing we ask of QEMU's control channel (QMP): a picture of the screen."""
import json
import socket


def screendump(path, picture):
    """
    Writes the screen to the file `picture` as PNG; why QEMU could not, or None. Nothing is wrong with a machine that is
    not up yet, or has ended.
    """
    try:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(5)
            channel.connect(path)
            lines = channel.makefile("r")
            lines.readline()        # the greeting
            for command in ({"execute": "qmp_capabilities"},
                            {"execute": "screendump", "arguments": {"filename": picture, "format": "png"}}):
                channel.sendall(json.dumps(command).encode() + b"\n")
                while "return" not in (answer := json.loads(lines.readline())) and "error" not in answer:
                    pass
            return answer["error"]["desc"] if "error" in answer else None
    except (OSError, ValueError):
        return None
