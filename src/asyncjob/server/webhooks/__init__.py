"""Notifications of ended jobs.

    sender.py      sends them, again until they are answered    receivers.py   who may be notified
    replies.py     what is taken from a receiver's answer       addresses.py   which IP addresses are public

Where they are kept between tries is a store's: `store/deliveries.py`.
"""
