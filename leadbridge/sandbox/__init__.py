"""Stateful stand-ins of the vendors over real HTTP.

The sandbox is written from the vendors' public documentation and imports nothing else of leadbridge, so that a
misunderstanding in a connector cannot hide in a matching misunderstanding here. One server holds every vendor at
its own root paths: HubSpot below ``/``, Mailchimp below ``/3.0``, Salesforce below ``/services``, the control interface
below ``/_sandbox``.
"""
