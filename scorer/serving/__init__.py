"""`longshore serve`: the Open Inference Protocol (V2) over HTTP, and a page for people, with the scorer's own model.

A request's way: `limits` (a body within its bounds) → `protocol` (JSON and binary tensors to columns) → `rows` (columns
to the records that the stream would carry) → `batching` (with others that wait) → `answers` (the stream's own `score`)
→ `protocol` (the response). `app` holds the routes, `page` what the form and the map show, `service` the process.
"""
