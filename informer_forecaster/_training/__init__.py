"""Private: how the network is trained, in torch and Lightning, for both adapters.

The letters of the shapes are those of :mod:`informer_forecaster._network`.
"""
