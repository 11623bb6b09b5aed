"""Notifications: who may receive them, and how they are delivered."""
