"""oneDNN writes past its scratchpad in the weight gradient of strided 1x1 convolutions, channels last.

What: the backward pass of torch.nn.Conv2d(4, 8, kernel_size=1, stride=2) on channels-last images damages the heap.
The process dies ("corrupted double-linked list", "free(): invalid size", segmentation fault, bus error), at once or
much later, or goes on with damaged memory. The values of the gradient itself are right.

Where seen: torch 2.13.0+cpu (oneDNN v3.12.0, commit 80afa710), x86-64, in the primitive

    convolution,jit_1x1:avx2,backward_weights,src:f32::blocked:acdb wei:f32:ap:blocked:ABcd8b8a dst:f32::blocked:acdb
    convolution,jit_1x1:avx512_core,backward_weights,src:f32::blocked:acdb wei:f32:ap:blocked:ABcd16b16a ...

Region, found with a guarded zone of 64 KiB around every allocation of posix_memalign:

    in_channels    2 to 7 with AVX2, 2 to 15 with AVX-512: fewer than floats in a vector (1: not seen)
    out_channels   any from 1 to 64
    kernel         1x1 only
    stride         above 1 along at least one axis, (1, 2) as well; input size a multiple of the stride; no padding
    groups         1 only
    type           float32 only (float64, float16, bfloat16: not seen)
    layout         channels last, of the images or of the weights (one of the two is enough)
    batch          2 and more with one thread
    pass           gradient of the weights only (forward, gradient of the input: not seen); ConvTranspose2d, too,
                   where its out_channels are as few
    ISA            AVX2, AVX2_VNNI, AVX2_VNNI_2, AVX512_CORE and above; not SSE41 and AVX

Bytes written past the end of the scratchpad of the reduction to unit stride: 16 to 2,000 on maps of 8 to 32. Its
size counts the channels there are; what is written counts whole vectors of channels.

Expected: nothing is written past the scratchpad, as with torch.contiguous_format or with oneDNN off.

Run it without arguments; it needs torch and glibc only. Each case runs in a child process with MALLOC_PERTURB_ and
MALLOC_CHECK_ set. ONEDNN_MAX_CPU_ISA=AVX2 makes a newer processor take the path of an older one.
"""

import os
import signal
import subprocess
import sys

CASE = """
import sys
import torch

torch.set_num_threads(1)
n_channels, layout, onednn = int(sys.argv[1]), getattr(torch, sys.argv[2]), sys.argv[3] == "True"
torch.backends.mkldnn.enabled = onednn
for size in (8, 16, 32, 64) * 25:
    layer = torch.nn.Conv2d(n_channels, 8, kernel_size=1, stride=2).to(memory_format=layout)
    images = torch.randn(4, n_channels, size, size).contiguous(memory_format=layout)
    layer(images).sum().backward()
"""


def outcome(isa: str, n_channels: int, layout: str, onednn: bool) -> str:
    """Run one case in a child process and say how it ended."""
    environment = os.environ | {"MALLOC_PERTURB_": "165", "MALLOC_CHECK_": "3", "ONEDNN_MAX_CPU_ISA": isa}
    command = [sys.executable, "-c", CASE, str(n_channels), layout, str(onednn)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ran.returncode < 0:
        words = ran.stderr.strip().splitlines()
        return f"killed by {signal.Signals(-ran.returncode).name}{': ' + words[-1] if words else ''}"
    return "ended" if ran.returncode == 0 else ran.stderr.strip().splitlines()[-1]


def main() -> None:
    """Print versions, then a line a case."""
    import torch

    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    print(next(line.strip() for line in torch.__config__.show().splitlines() if "MKL-DNN" in line))
    for isa in ("AVX2", "DEFAULT"):
        for n_channels in (1, 2, 3, 4, 6, 7, 8, 12, 16):
            print(
                f"{isa:8} in_channels={n_channels:<3} {outcome(isa, n_channels, 'channels_last', True)}",
                flush=True,
            )
        print(f"{isa:8} in_channels=4   contiguous: {outcome(isa, 4, 'contiguous_format', True)}")
        print(f"{isa:8} in_channels=4   channels last, oneDNN off: {outcome(isa, 4, 'channels_last', False)}")


if __name__ == "__main__":
    main()
