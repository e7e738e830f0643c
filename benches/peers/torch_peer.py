"""PyTorch's recurrent layers, and blocks of models: on the CPU, or by cuDNN on a CUDA GPU.

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
import reference

MODULES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}


class Attention(torch.nn.Module):
    """Each step attends to all steps, one after the other, as a decoder's steps do."""

    def __init__(self, shape):
        super().__init__()
        self.general = torch.nn.Linear(shape["input"], shape["input"], bias=False)

    def forward(self, x):
        memory = x.transpose(0, 1)
        keys = self.general(memory).mT
        contexts = [torch.bmm(torch.bmm(q.unsqueeze(1), keys).softmax(-1), memory).squeeze(1) for q in x]
        return torch.stack(contexts), None


class Residual(torch.nn.LSTM):
    """The layer norm of x + lstm(x)."""

    def __init__(self, shape):
        super().__init__(shape["input"], shape["hidden"])
        self.norm = torch.nn.LayerNorm(shape["hidden"], eps=reference.EPSILON)

    def forward(self, x):
        y, _ = super().forward(x)
        return self.norm(x + y), None


class Ctc(torch.nn.Module):
    def __init__(self, shape):
        super().__init__()
        labels, batch = torch.from_numpy(reference.ctc_labels(shape)), shape["batch"]
        self.register_buffer("labels", labels, persistent=False)
        # On the host, where PyTorch reads lengths; there it also takes cuDNN's loss for short labels.
        self.lengths = torch.full((batch,), shape["steps"]), torch.full((batch,), reference.LABELS)

    def forward(self, x):
        log_probabilities = x.log_softmax(-1)
        return torch.nn.functional.ctc_loss(log_probabilities, self.labels, *self.lengths).reshape(1), None


BLOCKS = {"attention": Attention, "residual": Residual, "ctc": Ctc}


def make_module(shape):
    if shape["cell"] in BLOCKS:
        return BLOCKS[shape["cell"]](shape)
    return MODULES[shape["cell"]](
        shape["input"], shape["hidden"], shape["layers"], bidirectional=shape["directions"] == 2
    )


class Layer:
    def __init__(self, shape, data, device):
        self.device = device
        self.module = make_module(shape)
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
