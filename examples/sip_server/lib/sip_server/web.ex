defmodule SipServer.Web do
  @moduledoc """
  What is no WebSocket, at the port of one: the web phone, which has been bundled into the folder `web` of the configuration, and
  the live ladder at `/trace`.

  The ladder tells who calls whom. It is for browsers on this machine that have asked for this machine: a page from elsewhere
  whose name leads here (DNS rebinding) gets 404, as everybody else does. A web server in front would make everybody local;
  leave `trace` out of the configuration behind one.
  """

  @files %{
    "/" => {"index.html", "text/html; charset=utf-8"},
    "/phone.js" => {"phone.js", "text/javascript; charset=utf-8"},
    "/phone.css" => {"phone.css", "text/css; charset=utf-8"},
    "/icon.svg" => {"icon.svg", "image/svg+xml"}
  }

  # Nothing from elsewhere, and no script within the page.
  @headers [
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " <>
       "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"Permissions-Policy", "microphone=(self), camera=(self), geolocation=()"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-store"}
  ]

  @doc "Answers a request; see `:http` of `Sippet.Transports.WS`."
  def respond(%{method: method}) when method not in ["GET", "HEAD"],
    do: answer(405, [{"Allow", "GET, HEAD"}], "text/plain", "")

  def respond(%{path: "/trace" <> _} = request) do
    if trace?(request),
      do: Sippet.Trace.Page.respond(request, SipServer.Trace, path: "/trace", names: names()),
      else: answer(404, [], "text/plain", "")
  end

  def respond(%{path: "/phone.json"} = request) do
    %{domains: [domain | _]} = SipServer.config()
    answer(200, [], "application/json", ~s({"domain":"#{domain}","trace":#{trace?(request)}}))
  end

  def respond(%{path: path}) do
    with %{^path => {name, type}} <- @files,
         folder when folder != nil <- SipServer.config().web,
         {:ok, bytes} <- File.read(Path.join(folder, name)) do
      answer(200, [], type, bytes)
    else
      _none when path == "/" -> answer(503, [], "text/plain; charset=utf-8", missing())
      _none -> answer(404, [], "text/plain", "")
    end
  end

  # build.sh of the web phone leaves a sentence where it has failed.
  defp missing do
    why =
      with folder when folder != nil <- SipServer.config().web,
           {:ok, why} <- File.read(Path.join(folder, "missing.txt")) do
        why
      else
        nil -> "The configuration has no `web`.\n"
        _none -> "It has not been bundled: run examples/web_phone/build.sh, which needs npm.\n"
      end

    "This SIP server runs. The web phone is missing.\n\n" <> why
  end

  # Who stands where in the ladder, as long as users are few.
  defp names do
    for user <- SipServer.Users.some(50),
        binding <- SipServer.config().location.fetch(user),
        into: %{sip_server: "server"},
        do: {address(binding), user}
  end

  defp address(%{flow: %{remote: remote}}), do: remote

  defp address(%{contact: {_name, uri, _parameters}}) do
    with {:ok, ip} <- uri.host |> String.to_charlist() |> :inet.parse_address(),
         do: {ip, uri.port}
  end

  defp trace?(%{remote: {ip, _port}, headers: headers}) do
    host = with {_name, value} <- List.keyfind(headers, "host", 0), do: value

    SipServer.config().trace and loopback?(ip) and is_binary(host) and
      host =~ ~r/\A(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?\z/
  end

  defp loopback?({127, _, _, _}), do: true
  defp loopback?(ip), do: ip in [{0, 0, 0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 0xFFFF, 0x7F00, 1}]

  defp answer(status_code, headers, type, body),
    do: {status_code, [{"Content-Type", type} | headers] ++ @headers, body}
end
