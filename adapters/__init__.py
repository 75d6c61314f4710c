"""The adapters to the forecasting frameworks; installed as ``informer_forecaster.adapters``.

``darts`` holds the Darts model, ``sktime`` the sktime forecaster, which trains and asks a Darts
model; ``pretrained`` holds what both write down of a model. An adapter turns the objects of its
framework into tensors for the network, and the network's output back into objects.
"""
