"""An RTSP server of GStreamer that serves one film, as a network camera would.

Usage: /usr/bin/python3 server.py PORT FILM PAYLOADER [USER PASSWORD basic|digest]

The film is a Matroska file; each client gets it from its beginning, at its own rate, at /stream. Prints a line once it
listens. `/usr/bin/python3` because Debian's GStreamer belongs to Debian's Python.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

port, film, payloader, *login = sys.argv[1:]
Gst.init(None)
server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1")
server.set_service(port)
media = GstRtspServer.RTSPMediaFactory.new()
media.set_launch(f"( filesrc location={film} ! matroskademux ! {payloader} name=pay0 pt=96 )")
if login:
    user, password, method = login
    auth = GstRtspServer.RTSPAuth.new()
    token = GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", "watcher")
    if method == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    server.set_auth(auth)
    role = "watcher,media.factory.access=true,media.factory.construct=true"
    media.add_role_from_structure(Gst.Structure.new_from_string(role))
server.get_mount_points().add_factory("/stream", media)
if not server.attach(None):
    sys.exit(f"port {port} is taken")
print("listening", flush=True)
GLib.MainLoop().run()
