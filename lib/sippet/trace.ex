defmodule Sippet.Trace do
  @moduledoc """
  Captures the messages of a running stack, and shows them.

      {:ok, trace} = Sippet.Trace.start(:my_stack, call_id: "a84b4c76e66710")
      ...
      IO.puts(Sippet.Trace.to_text(trace))
      File.write!("call.pcapng", Sippet.Trace.to_pcapng(trace))
      :ok = Sippet.Trace.stop(trace)

  What goes over the wire is what is captured, in both directions: retransmissions, what the stack answers by itself, and
  bytes that are no message, with what became of them (`Sippet.Trace.Event`). "Sent" is what was handed to a transport, which
  may fail to deliver it later. Keep-alives, frames and handshakes are not messages and are not there.

  Where there is no trace, none of this costs anything: it hears of messages by `Sippet.Telemetry`, which tells what somebody
  listens for. A trace costs the process that receives or sends a look at the bytes, and itself the reading of those that
  may be meant; it keeps the newest `:max_events` of them. What it cannot keep up with is counted (`missed` in `info/1`) and
  not captured; nothing waits for it. Starting and ending one makes the VM look through the heaps of all processes once: do it
  for a question, not for every call.

  See `guides/tracing.md`, and `Sippet.Trace.Page` for a page that shows calls as they happen.

  ## Privacy

  A trace holds who calls whom, from where, what they write to each other (MESSAGE) and where their media goes. It is in the
  memory of the VM until it is stopped or overwritten, and its files are as confidential as the calls. Who captures what others say
  may need a right to do so.

  Credentials are taken out before a message is kept: of Authorization, Proxy-Authorization and Authentication-Info all but
  who, where and by what algorithm (`username`, `realm`, `uri`, `algorithm`, `qop`, `nc`, `userhash`), in any other scheme than
  Digest all; the password of a URI; in bodies, the keys of `a=crypto`, `a=ice-pwd`, `a=key-mgmt` and `k=`. They become `***`,
  in a body as many asterisks as they had bytes. Secrets in other header fields and bodies of your own stay. With `credentials: :keep`
  all stays.

  ## Drawings

  `to_text/2`, `to_mermaid/2`, `to_svg/2` and `to_pcapng/2` take a trace or a list of events, and the options `:call_id`,
  `:user`, `:peer` and `:filter` of `start/2`, by which only some of them are shown. In a drawing the stack has a line, and each
  of its peers; those after the sixteenth are "others". All text in it is printable ASCII and escaped for where it stands,
  whatever a peer has sent. Further options:

    * `:names` - a map of names, `%{{{192, 0, 2, 1}, 5060} => "alice"}`: the keys are addresses of peers or transports,
      `{ip, port}` or `ip`, and stacks. What has the same name is one line.
    * `:messages` - true shows whole messages, too, in `to_text/2` and `to_svg/2`
  """

  alias Sippet.Stack
  alias Sippet.Trace.{Event, Filter, Ladder, Mermaid, Pcapng, Recorder, SVG}

  @typedoc "What `start/2` and `start_link/1` returned, or the name of it."
  @type trace :: GenServer.server()

  @typedoc """
  Which messages are meant: those for which all that is given holds.

    * `:call_id` - with this Call-ID, or one of a list
    * `:user` - with this user part in From, To or Request-URI, or one of a list: the characters as they stand there
    * `:peer` - from or to this address, or one of a list: an ip as a tuple or a string, or `{ip, port}`
    * `:filter` - a function of the event, which is without credentials already; it runs in the trace, which ends if it raises
  """
  @type filter ::
          {:call_id, String.t() | [String.t()]}
          | {:user, String.t() | [String.t()]}
          | {:peer, peer | [peer]}
          | {:filter, (Event.t() -> as_boolean(term))}

  @type peer ::
          :inet.ip_address()
          | String.t()
          | {:inet.ip_address() | String.t(), :inet.port_number()}

  # name, default, what it is
  @limits [
    {:max_events, 1_000, "how many events are kept; the oldest go"},
    {:max_bytes, 4_194_304, "how many bytes their messages may have together"},
    {:max_message_bytes, 65_536, "how many bytes of a message are kept"}
  ]

  @doc """
  Begins to capture messages of a stack. The trace ends with the calling process, or by `stop/1`.

  ## Options

    * `:call_id`, `:user`, `:peer`, `:filter` - which messages, see `t:filter/0`; default all
  #{for {name, default, text} <- @limits, do: "  * `:#{name}` - #{text}; default `#{default}`\n"}  * `:credentials` - `:redact`, or `:keep` to leave secrets in; default `:redact`
    * `:name` - a name for the trace, as `GenServer` takes it

  It captures what comes after it was started, over any transport of the stack, also those that are started later; a stack
  that is started again is still the same.

  Raises `ArgumentError` if there is no such stack, and for an option that is not known or not of its kind.
  """
  @spec start(Sippet.sippet(), [filter | {atom, term}]) :: GenServer.on_start()
  def start(stack, options \\ []) do
    {names, options} = options!([stack: stack] ++ options)
    GenServer.start(Recorder, {options, self()}, names)
  end

  @doc """
  The same for a supervisor: the trace is linked to the calling process. The options are those of `start/2`, and `:stack`.
  """
  @spec start_link([filter | {atom, term}]) :: GenServer.on_start()
  def start_link(options) do
    {names, options} = options!(options)
    GenServer.start_link(Recorder, {options, nil}, names)
  end

  @doc """
  The specification of a trace under a supervisor, behind its stack:

      children = [
        {Sippet, name: :my_stack},
        {Sippet.Transports.UDP, name: :my_stack},
        {Sippet.Trace, stack: :my_stack, name: MyApp.Trace, max_events: 10_000}
      ]

  Its id holds stack and name.
  """
  @spec child_spec([filter | {atom, term}]) :: Supervisor.child_spec()
  def child_spec(options) do
    %{
      id: {__MODULE__, options[:stack], options[:name]},
      start: {__MODULE__, :start_link, [options]}
    }
  end

  defp options!(options) do
    defaults = for {name, default, _text} <- @limits, do: {name, default}
    known = [:stack, :name, :credentials] ++ Filter.names() ++ Keyword.keys(defaults)
    known!(options, known)
    options = Keyword.merge([credentials: :redact] ++ defaults, options)

    for {name, _default, _text} <- @limits,
        not (is_integer(options[name]) and options[name] > 0) do
      raise ArgumentError,
            "expected #{inspect(name)} to be a positive integer, got: #{inspect(options[name])}"
    end

    unless options[:credentials] in [:redact, :keep] do
      raise ArgumentError,
            "expected :credentials to be :redact or :keep, got: #{inspect(options[:credentials])}"
    end

    _filter = Filter.new!(options)
    _stack = Stack.fetch!(options[:stack])
    {Keyword.take(options, [:name]), options}
  end

  defp known!(options, known) do
    unless Keyword.keyword?(options) do
      raise ArgumentError, "expected options to be a keyword list, got: #{inspect(options)}"
    end

    for {name, _value} <- options, name not in known do
      raise ArgumentError, "unknown option #{inspect(name)}, known are: #{inspect(known)}"
    end

    :ok
  end

  @doc "Ends a trace. Its events are gone with it."
  @spec stop(trace) :: :ok
  def stop(trace), do: GenServer.stop(trace)

  @doc """
  The events that the trace keeps, in the order of their times.
  """
  @spec events(trace) :: [Event.t()]
  def events(trace), do: GenServer.call(trace, :events)

  @doc """
  What the trace has, in numbers:

    * `stack` - whose messages they are
    * `events`, `bytes` - what is kept
    * `captured` - how many were taken since it was started
    * `overwritten` - how many of them have gone for newer ones
    * `missed` - how many came while too many waited to be looked at, and were not captured
  """
  @spec info(trace) :: %{
          stack: Sippet.sippet(),
          events: non_neg_integer,
          bytes: non_neg_integer,
          captured: non_neg_integer,
          overwritten: non_neg_integer,
          missed: non_neg_integer
        }
  def info(trace), do: GenServer.call(trace, :info)

  @doc """
  Lets the calling process know of events as they happen: it gets the message `{Sippet.Trace, pid, :events}` when there are
  some that it has not taken, and no further one until it calls `take/1`.

      def handle_info({Sippet.Trace, trace, :events}, state) do
        {:ok, events, _missed} = Sippet.Trace.take(trace)
        ...

  So there is at most one such message in its mailbox, however slow it is and however many messages there are; what it does
  not take in time the ring overwrites. With `history: true` it begins with what the trace has.

  Returns `{:error, :already_subscribed}` if it is. It ends with the process, or by `unsubscribe/1`.
  """
  @spec subscribe(trace, history: boolean) :: :ok | {:error, :already_subscribed}
  def subscribe(trace, options \\ []) do
    known!(options, [:history])
    GenServer.call(trace, {:subscribe, Keyword.get(options, :history, false) == true})
  end

  @doc "Ends the subscription of the calling process; a message of it may be in its mailbox still."
  @spec unsubscribe(trace) :: :ok
  def unsubscribe(trace), do: GenServer.call(trace, :unsubscribe)

  @doc """
  The events since the calling process took some, or subscribed: `{:ok, events, missed}`, with the number of those that had
  been overwritten by then. Returns `{:error, :not_subscribed}` if it is not.
  """
  @spec take(trace) :: {:ok, [Event.t()], missed :: non_neg_integer} | {:error, :not_subscribed}
  def take(trace), do: GenServer.call(trace, :take)

  @doc """
  A ladder as text: a line for the stack and for each peer, an arrow for each message, before it the time since the first,
  behind it the protocol, `again` for bytes that were there before, and what became of it if it is not in order.

      iex> alias Sippet.Trace.Event
      iex> event = fn time, direction, line ->
      ...>   Event.new(
      ...>     time: time, direction: direction, protocol: :udp, stack: :my_stack, remote: {{192, 0, 2, 1}, 5060}, data: \"""
      ...>     \#{line}
      ...>     Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK776asdhds
      ...>     From: <sip:alice@atlanta.example>;tag=1928301774
      ...>     To: <sip:bob@biloxi.example>;tag=a6c85cf
      ...>     Call-ID: a84b4c76e66710
      ...>     CSeq: 2 BYE
      ...>
      ...>     \""")
      ...> end
      iex> events = [event.(0, :received, "BYE sip:bob@biloxi.example SIP/2.0"), event.(1_250, :sent, "SIP/2.0 200 OK")]
      iex> Sippet.Trace.to_text(events, names: %{{192, 0, 2, 1} => "alice"})
      \"""
                alice                            :my_stack
        0.0 ms  |-- BYE sip:bob@biloxi.example ->|  udp
        1.3 ms  |<- 200 OK (BYE) ----------------|  udp
      \"""

  With `messages: true` the messages follow, each with its time, the way it took, and its bytes.
  """
  @spec to_text(trace | [Event.t()], [filter | {atom, term}]) :: String.t()
  def to_text(trace, options \\ []) do
    {events, options} = select(trace, options)
    ladder = Ladder.of(events, options)
    messages = if options[:messages], do: Enum.zip(ladder.arrows, events), else: []

    IO.iodata_to_binary([
      Ladder.text(ladder),
      for {arrow, event} <- messages do
        [
          "\n#{DateTime.from_unix!(event.time, :microsecond)}  #{name(ladder, arrow.from)} -> ",
          "#{name(ladder, arrow.to)}  #{arrow.note}\n",
          Enum.map(arrow.details, &["    ", &1, "\n"])
        ]
      end
    ])
  end

  defp name(ladder, place), do: Enum.at(ladder.participants, place)

  @doc """
  The ladder as a sequence diagram of [Mermaid](https://mermaid.js.org), without fences.

      iex> event = Sippet.Trace.Event.new(
      ...>   time: 0, direction: :received, stack: :my_stack, remote: {{192, 0, 2, 1}, 5060}, data: "<script>;end",
      ...>   outcome: {:rejected, :start_line})
      iex> Sippet.Trace.to_mermaid([event])
      \"""
      sequenceDiagram
        participant p0 as 192.0.2.1:5060
        participant p1 as :my_stack
        p0-xp1: 0.0 ms: no message: #34;#60;script#62;#59;#101;nd#34; (rejected: start_line)
      \"""

  Mermaid refuses texts above 50,000 characters by default: for single calls.
  """
  @spec to_mermaid(trace | [Event.t()], [filter | {atom, term}]) :: String.t()
  def to_mermaid(trace, options \\ []) do
    {events, options} = select(trace, options)
    events |> Ladder.of(options) |> Mermaid.draw()
  end

  @doc """
  The ladder as SVG: a file, or a part of an HTML page. It has no scripts, styles, links or ids.

  With `messages: true` each arrow has its message for a title, which browsers show where the pointer is. `:title` names the
  drawing.

      iex> Sippet.Trace.to_svg([], title: "R&D") =~ "<title>R&amp;D</title>"
      true
  """
  @spec to_svg(trace | [Event.t()], [filter | {atom, term}]) :: String.t()
  def to_svg(trace, options \\ []) do
    {events, options} = select(trace, options)
    title = Keyword.get(options, :title, "SIP messages")
    events |> Ladder.of(options) |> SVG.draw(title)
  end

  @doc """
  A pcapng file, that Wireshark and tshark read as SIP whatever the transport was.

  A packet is a message with the addresses it went between, without headers of IP, TCP or TLS ("exported PDU"), and a
  comment that tells the transport and what became of it. Of a connection the own port is that of its listener. Messages are
  those of the trace, so without credentials.
  """
  @spec to_pcapng(trace | [Event.t()], [filter | {atom, term}]) :: binary
  def to_pcapng(trace, options \\ []) do
    {events, _options} = select(trace, options)
    Pcapng.encode(events)
  end

  defp select(trace, options) do
    known!(options, [:names, :messages, :title] ++ Filter.names())
    filter = Filter.new!(options)
    events = if is_list(trace), do: Enum.sort_by(trace, & &1.time), else: events(trace)
    {Enum.filter(events, &Filter.match?(filter, &1)), options}
  end
end
