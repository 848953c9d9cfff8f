"""The providers' APIs on loopback, in one process: it renders real mp4s and remembers its jobs.

| base URL | kind |
|---|---|
| /v1 | `/v1/videos`, in the manner of one server of the dialect (videos.py, dialects.py) |
| /fal, /fal-api/v1, /fal-jwks.json | fal's queue, its list by time, and the keys of its webhooks (fal.py) |
| /replicate/v1 | Replicate (replicate.py) |
| /runway/v1 | Runway (runway.py) |
| /gemini/v1beta, /gemini/v1, /gemini/jwks.json | Gemini Omni, and the keys of its webhooks (gemini.py) |
| http://127.0.0.2:PORT/cdn | the files of fal, Replicate and Runway: no host that a key may be shown to |

models.py has what each model takes. One key is every kind's. All kinds share the jobs, the renderers and the faults.

Words in a prompt make one job misbehave (directives.py); `PUT /simulator/faults` makes requests go wrong, whatever
their prompts (faults.py), of every kind or of one:

    {"create": [{"status": 500, "times": 3, "after_accepting": true}], "content": {"kind": "truncate", "share": 0.1},
     "fal.create": {"kind": "no_balance", "times": 1}, "replicate.webhook": {"kind": "late", "seconds": 60}}

`DELETE /simulator/faults` clears them. `GET /simulator/posts` counts the POSTs of each prompt that were accepted, and
those to /v1/videos that were refused; `GET /simulator/arrivals` lists every POST that came, with its kind, also one
that a fault was all the answer to, and what became of it; `GET /simulator/jobs` lists every job there ever was, with
the body of its POST. `GET` and `PUT /simulator/switches` are about what the kinds' documentation leaves open
(switches.py). `GET /simulator/webhooks` lists the events and what became of them, `POST /simulator/webhooks?job_id=`
sends a job's last one again, `POST /simulator/rotate` changes the keys that sign. `GET /simulator/leaks` lists every
key that was shown where none may be.
"""
