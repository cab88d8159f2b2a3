"""A small evaluation, copied into a clone by a test: all that a new evaluation has to bring.

`room` goes to pipeline/metrics/toy, `stage.py` to pipeline/stages/toy.py, `block.yaml` below `stages:` of
dvc.yaml (`python -m pipeline graph` then adds the code), `params.yaml` to the end of params.yaml.
"""
