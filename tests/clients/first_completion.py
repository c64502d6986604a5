"""Waits until the model at BASE, which process PID serves, has answered once: its port is open long before its weights are loaded."""

import http.client
import json
import os
import sys
import time
import urllib.request

# Longest wait, in seconds; a first answer takes some ten on a core that nobody else wants.
READY_MAX = 300
# Longest wait for one answer, in seconds.
ANSWER_MAX = 60
# Time between two tries, in seconds.
POLL = 1

base, server = sys.argv[1], int(sys.argv[2])
asked = {"model": "smollm2", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}
request = urllib.request.Request(
    f"{base}/chat/completions", json.dumps(asked).encode(), {"content-type": "application/json"}
)
# The server is on this machine, whatever proxy others are reached by.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
until = time.monotonic() + READY_MAX
why = "nothing was asked"
while (left := until - time.monotonic()) > 0:
    try:
        with opener.open(request, timeout=min(left, ANSWER_MAX)) as answer:
            if json.load(answer).get("choices"):
                sys.exit()
            why = "it answers without a choice"
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = str(error)
    try:
        os.kill(server, 0)
    except ProcessLookupError:
        sys.exit("the server ended before it answered")
    time.sleep(POLL)
sys.exit(f"the model at {base} gave no answer within {READY_MAX} s: {why}")
