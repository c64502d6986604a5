"""SmolLM2-135M behind an OpenAI-compatible address on this machine: GGUF and PORT are the arguments. One thread, as others work beside."""

import sys
import time

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.port = int(sys.argv[2])
params.n_ctx = 8192
params.n_parallel = 1
params.cpuparams.n_threads = 1
params.n_gpu_layers = 0
params.warmup = False
server = xllamacpp.Server(params)
print("ready", server.listening_address, flush=True)
while True:
    time.sleep(3600)
