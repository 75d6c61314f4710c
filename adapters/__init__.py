"""One module for each forecasting framework; installed as ``informer_forecaster.adapters``.

``informer_forecaster.adapters.darts`` holds the Darts model. An adapter turns the objects of its
framework into tensors for the network and the network's output back into objects; it holds no
mathematics of its own.
"""
