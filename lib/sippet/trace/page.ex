defmodule Sippet.Trace.Page do
  @moduledoc """
  A page that shows the calls of a trace, and the ladder of one of them, as they happen.

  It is made for `:http` of `Sippet.Transports.WS` and `Sippet.Transports.WSS`, and needs no more than a request's method, path
  and query, so that it fits any HTTP server:

      children = [
        {Sippet, name: :my_stack, core: MyApp.Core},
        {Sippet.Trace, stack: :my_stack, name: MyApp.Trace},
        {Sippet.Transports.WS, name: :my_stack, port: 8080, paths: ["/sip"], http: {MyApp.Web, :respond}}
      ]

      defmodule MyApp.Web do
        def respond(%{path: "/trace" <> _} = request) do
          if MyApp.operator?(request),
            do: Sippet.Trace.Page.respond(request, MyApp.Trace, path: "/trace"),
            else: {401, [{"WWW-Authenticate", ~s(Basic realm="trace")}], ""}
        end

        def respond(_request), do: {404, [], ""}
      end

  **Who may see it is yours to decide**, as in this example: it tells who calls whom (see "Privacy" of `Sippet.Trace`), and asks
  nobody who they are.

  The page asks each second whether there is anything new. It loads nothing from elsewhere, and its Content-Security-Policy allows
  no other script than its own. Without scripts the ladder of everything is at its path and `/ladder`.
  """

  alias Sippet.Trace
  alias Sippet.Trace.Label

  @external_resource Path.join(__DIR__, "page/page.html")
  @external_resource Path.join(__DIR__, "page/page.css")
  @external_resource Path.join(__DIR__, "page/page.js")

  @style File.read!(Path.join(__DIR__, "page/page.css"))
  @script File.read!(Path.join(__DIR__, "page/page.js"))
  @html Path.join(__DIR__, "page/page.html")
        |> File.read!()
        |> String.replace("/* style */", @style)
        |> String.replace("/* script */", @script)

  hash = fn text -> "'sha256-#{Base.encode64(:crypto.hash(:sha256, text))}'" end

  @headers [
    {"Content-Security-Policy",
     "default-src 'none'; script-src #{hash.(@script)}; style-src #{hash.(@style)}; connect-src 'self'; " <>
       "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-store"}
  ]

  # The newest calls; a ladder has all messages of one that the trace keeps.
  @max_calls 100
  @max_title 72

  @typedoc "A request, as `:http` of `Sippet.Transports.WS` has it; other keys are not looked at."
  @type request :: %{
          :method => String.t(),
          :path => String.t(),
          :query => String.t() | nil,
          optional(atom) => term
        }

  @typedoc "`{status_code, headers, body}`"
  @type response :: {200..503, [{String.t(), String.t()}], iodata}

  @doc """
  The response to a request for the page, or for what it asks for.

  ## Options

    * `:path` - where the page is; default `"/"`
    * `:names` - names for the lines of a ladder, as in `Sippet.Trace.to_svg/2`

  Other paths are 404, other methods than GET and HEAD 405. Where the trace has ended it is 503.

      iex> {404, _headers, _body} = Sippet.Trace.Page.respond(%{method: "GET", path: "/other", query: nil}, MyApp.Trace, path: "/trace")
      iex> {status_code, _headers, _body} = Sippet.Trace.Page.respond(%{method: "GET", path: "/trace", query: nil}, MyApp.Trace, path: "/trace")
      iex> status_code
      200
  """
  @spec respond(request, Trace.trace(), keyword) :: response
  def respond(%{method: method, path: path} = request, trace, options \\ []) do
    options = Keyword.validate!(options, path: "/", names: %{})
    base = String.trim_trailing(options[:path], "/")

    cond do
      method not in ["GET", "HEAD"] -> answer(405, [{"Allow", "GET, HEAD"}], "text/plain", "")
      path in [base, base <> "/"] -> answer(200, [], "text/html; charset=utf-8", @html)
      path == base <> "/calls" -> of_trace("application/json", fn -> calls(trace) end)
      path == base <> "/ladder" -> ladder(request[:query], trace, options[:names])
      true -> answer(404, [], "text/plain", "")
    end
  end

  defp answer(status_code, headers, type, body),
    do: {status_code, [{"Content-Type", type} | headers] ++ @headers, body}

  defp of_trace(type, fun) do
    answer(200, [], type, fun.())
  catch
    :exit, _reason -> answer(503, [], "text/plain", "the trace has ended")
  end

  defp ladder(query, trace, names) do
    case call_id(query) do
      {:ok, filter} ->
        of_trace("image/svg+xml", fn ->
          Trace.to_svg(trace, [names: names, messages: true] ++ filter)
        end)

      :error ->
        answer(400, [], "text/plain", "")
    end
  end

  defp call_id("call=" <> id) do
    with {:ok, call_id} when call_id != "" <- Base.url_decode64(id, padding: false),
         do: {:ok, [call_id: call_id]},
         else: (_not_one -> :error)
  end

  defp call_id(query) when query in [nil, ""], do: {:ok, []}
  defp call_id(_other), do: :error

  # The newest first. All text in it is printable ASCII.
  defp calls(trace) do
    %{captured: captured, missed: missed} = Trace.info(trace)

    calls =
      trace
      |> Trace.events()
      |> Enum.filter(& &1.call_id)
      |> Enum.group_by(& &1.call_id)
      |> Enum.sort_by(fn {_call_id, [first | _]} -> first.time end, :desc)
      |> Enum.take(@max_calls)
      |> Enum.map_intersperse(",", fn {call_id, [first | _] = events} ->
        # An ACK says less than what it acknowledges.
        last = events |> Enum.reverse() |> Enum.find(first, &(&1.method != :ack))

        [
          ~s({"id":"#{Base.url_encode64(call_id, padding: false)}","call_id":#{string(Label.printable(call_id))},),
          ~s("begun":#{div(first.time, 1_000)},"messages":#{length(events)},"title":#{string(title(first))},),
          ~s("first":#{string(Trace.Event.summary(first))},"last":#{string(Trace.Event.summary(last))}})
        ]
      end)

    [~s({"captured":#{captured},"missed":#{missed},"calls":[), calls, "]}"]
  end

  # Whom it is between, where the message tells.
  defp title(%{users: [from, to | _], method: method}),
    do: shortened("#{method(method)} #{from} to #{to}")

  defp title(%{users: [user], method: method}), do: shortened("#{method(method)} #{user}")
  defp title(event), do: Trace.Event.summary(event)

  defp shortened(text), do: text |> Label.printable() |> String.slice(0, @max_title)

  defp method(method) when is_atom(method), do: method |> Atom.to_string() |> String.upcase()
  defp method(method), do: method

  defp string(text), do: [?", String.replace(text, ["\\", "\""], &("\\" <> &1)), ?"]
end
