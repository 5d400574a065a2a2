"""The reverse proxy: TLS, and maintenance as a flag file that outlives every process of the system."""

from __future__ import annotations

from embedded.layout import Layout, Ports, write_private
from embedded.supervision import Program

RETRY_AFTER_SECONDS = 30

CADDYFILE = """\
{{
    admin off
    auto_https off
    persist_config off
    default_sni localhost
    grace_period 5s
    log {{
        level WARN
        format filter {{
            wrap json
            request>headers delete
        }}
    }}
}}

https://localhost:{port}, https://127.0.0.1:{port} {{
    bind 127.0.0.1
    tls "{folder}/server.crt" "{folder}/server.key"

    @maintenance {{
        file {{
            root "{folder}"
            try_files /maintenance.flag
        }}
        not header X-Golive-Bypass {bypass}
    }}
    handle @maintenance {{
        header Retry-After {retry_after}
        header Cache-Control no-store
        @json header Accept *json*
        handle @json {{
            header Content-Type application/json
            respond `{page_json}` 503
        }}
        handle {{
            header Content-Type "text/html; charset=utf-8"
            respond `{page_html}` 503
        }}
    }}
    handle {{
        reverse_proxy 127.0.0.1:{backend_port} {{
            transport http {{
                dial_timeout 2s
            }}
        }}
    }}
}}
"""


def write_config(
    layout: Layout, ports: Ports, *, bypass_token: str, page_html: str, page_json: str, more: str = ""
) -> None:
    """The pages are what users see in maintenance; ``more`` is further text of the Caddyfile."""
    text = CADDYFILE.format(
        port=ports.proxy,
        backend_port=ports.backend,
        folder=layout.proxy,
        bypass=bypass_token,
        retry_after=RETRY_AFTER_SECONDS,
        page_html=page_html,
        page_json=page_json,
    )
    write_private(layout.proxy / "Caddyfile", text + more)


def program(layout: Layout, caddy: str) -> Program:
    command = (caddy, "run", "--config", str(layout.proxy / "Caddyfile"), "--adapter", "caddyfile")
    return Program("proxy", command, layout.proxy, priority=900)
