"""Messages of Salesforce's Pub/Sub API, made from `pubsub_api.proto` by `make pubsub`."""
