"""A Sora-style `/v1/videos` API on loopback that renders real mp4s and remembers its jobs.

It answers in the manner of one server of the dialect (manners.py). Words in a prompt make one job misbehave
(directives.py); `PUT /simulator/faults` makes requests go wrong, whatever their prompts (faults.py):

    {"create": [{"status": 500, "times": 3, "after_accepting": true}], "content": {"kind": "truncate", "share": 0.1}}

`DELETE /simulator/faults` clears them. `GET /simulator/posts` counts the POSTs of each prompt that were accepted or
refused; `GET /simulator/arrivals` lists every POST that came, also one that a fault was all the answer to, and what
became of it; `GET /simulator/jobs` lists every job there ever was.
"""
