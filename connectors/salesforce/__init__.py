"""Salesforce: leads and contacts, their activity, and the write-back of scores."""
