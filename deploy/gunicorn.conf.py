"""For those who start gunicorn themselves instead of `leadbridge web`, which uses the same settings:

LEADBRIDGE_CONFIG=/etc/leadbridge/leadbridge.yaml gunicorn -c deploy/gunicorn.conf.py
"""

wsgi_app = "leadbridge.processes:application()"
worker_class = "webhooks.processes.DoorWorker"
bind = "127.0.0.1:8080"
workers = 2
timeout = 30
graceful_timeout = 25
logger_class = "webhooks.processes.PlainLogger"
control_socket_disable = True
preload_app = False
