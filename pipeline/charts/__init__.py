"""One Vega-Lite specification per chart, made with Altair: the reader's browser draws it in the page, and
vl-convert as PNG. Only `compare` and `page` import this room.
"""
