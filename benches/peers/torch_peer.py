"""PyTorch's recurrent layers: on the CPU, or by cuDNN on a CUDA GPU.

    python torch_peer.py cpu|cuda|cuda-tf32

On the CPU it is PyTorch as it comes. A thread of its OpenMP that waits for another spins for 5 ms before it sleeps: on
cores that others use as well it may spin away the time the other one needs, and layers become up to a thousand times
slower. GOMP_SPINCOUNT=5000 in the environment makes that 0.1 ms, for a machine that is busy; small layers on a quiet
one are then up to 40 % slower. Either way no thread spins beyond 10 ms after a run.

cuda multiplies in float32 like everybody else; cuda-tf32 lets cuDNN round products to TF32's ten bits.
"""

import argparse
import os
import sys

import numpy
import torch

import peer

MODULES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}


class Layer:
    def __init__(self, shape, data, device):
        self.device = device
        self.module = MODULES[shape["cell"]](
            shape["input"], shape["hidden"], shape["layers"], bidirectional=shape["directions"] == 2
        )
        x = torch.from_numpy(data.pop("x"))
        self.module.load_state_dict({name: torch.from_numpy(array) for name, array in data.items()})
        self.module.to(device)
        self.x = x.to(device)
        self.ones = None

    def complete(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def forward(self):
        self.module.eval()
        with torch.inference_mode():
            self.y, _ = self.module(self.x)
        self.complete()

    def output(self):
        return numpy.ascontiguousarray(self.y.cpu().numpy())

    def training(self):
        if self.ones is None:
            self.module.train()
            self.leaf = self.x.clone().requires_grad_()
            self.leaves = [self.leaf, *self.module.parameters()]
            self.ones = torch.ones(self.y.shape, device=self.device)
        self.module.train()
        y, _ = self.module(self.leaf)
        self.found = torch.autograd.grad(y, self.leaves, self.ones)
        self.complete()

    def gradients(self):
        names = ["x", *(name for name, _ in self.module.named_parameters())]
        return {name: numpy.ascontiguousarray(g.cpu().numpy()) for name, g in zip(names, self.found)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("device", choices=["cpu", "cuda", "cuda-tf32"])
    args = parser.parse_args()
    banner = {"peer": f"torch {args.device}", "version": torch.__version__}
    if args.device == "cpu":
        settings = [
            f", {key}={value}" for key, value in os.environ.items() if key.startswith(("GOMP_", "OMP_", "KMP_"))
        ]
        banner |= {"adapter": "CPU", "driver": f"{torch.get_num_threads()} threads{''.join(sorted(settings))}"}
    else:
        if not torch.cuda.is_available():
            sys.exit("no CUDA device")
        precision = "tf32" if args.device == "cuda-tf32" else "ieee"
        torch.backends.cuda.matmul.fp32_precision = precision
        torch.backends.cudnn.rnn.fp32_precision = precision
        cudnn = torch.backends.cudnn.version()
        banner["adapter"] = torch.cuda.get_device_name()
        banner["driver"] = f"CUDA {torch.version.cuda}, cuDNN {cudnn // 10000}.{cudnn // 100 % 100}.{cudnn % 100}"
    device = torch.device(args.device.removesuffix("-tf32"))
    peer.serve(banner, lambda shape, data: Layer(shape, data, device))


main()
