defmodule Sippet.SDP do
  @moduledoc """
  A session description (RFC 8866), and what can be done with it. Offers and answers are made of them by
  `Sippet.OfferAnswer`.

    * `:version` - 0
    * `:origin` - a `Sippet.SDP.Origin`
    * `:session_name` - the `s=` line; nil where it was missing
    * `:information`, `:uri`, `:key` - the `i=`, `u=` and `k=` lines, each a string or nil
    * `:emails`, `:phones` - the `e=` and `p=` lines, lists of strings
    * `:connection` - a `Sippet.SDP.Connection` or nil
    * `:bandwidths` - a list of `{type, value}`, as in `{"AS", 64}`
    * `:timings` - a list of `Sippet.SDP.Timing`
    * `:attributes` - a list of `t:attribute/0`, in their order
    * `:media` - a list of `Sippet.SDP.Media`
    * `:unknown` - lines that have no place above, see `t:line/0`
    * `:order` - nil, or the order in which the lines before the first `m=` came, when that is not the order of RFC 8866
      §5: a letter each, `-` for an unknown one, as in `"ostac"`. It is kept when the description is written, as long as
      there are exactly these lines
    * `:defects` - what lenient parsing forgave, see `t:defect/0`; not written

  The struct implements `String.Chars`.

      iex> sdp = Sippet.SDP.parse!(\"""
      ...> v=0
      ...> o=alice 2890844526 2890844526 IN IP4 192.0.2.1
      ...> s=-
      ...> c=IN IP4 192.0.2.1
      ...> t=0 0
      ...> m=audio 49170 RTP/AVP 0 101
      ...> a=rtpmap:101 telephone-event/8000
      ...> a=sendonly
      ...> \""")
      iex> [audio] = sdp.media
      iex> {audio.type, audio.port, audio.formats, Sippet.SDP.direction(sdp, audio)}
      {"audio", 49170, ["0", "101"], :sendonly}
      iex> for {:rtpmap, %{payload_type: 101, encoding_name: name}} <- audio.attributes, do: name
      ["telephone-event"]

  ## What is kept

  Whatever this library can write it reads back as the same struct. What it reads it writes as the same bytes, also
  what it does not understand, unless `:defects` has one of these reasons: `:line_end` (lines may end in LF, and are written
  with CRLF), `:empty_line` (left out) and `:spelling` (spaces and zeros to spare).

  Strings are bytes as received; they are UTF-8 unless the attribute `charset` says otherwise, or the peer errs. No
  atoms are made from them.
  """

  alias Sippet.Native
  alias Sippet.SDP.{Connection, Media, Origin, ParseError, ParseOptions, Timing}

  defstruct version: 0,
            origin: %Origin{},
            session_name: "-",
            information: nil,
            uri: nil,
            emails: [],
            phones: [],
            connection: nil,
            bandwidths: [],
            timings: [%Timing{}],
            key: nil,
            attributes: [],
            media: [],
            unknown: [],
            order: nil,
            defects: []

  @typedoc "See the module."
  @type t :: %__MODULE__{
          version: 0,
          origin: Origin.t(),
          session_name: String.t() | nil,
          information: String.t() | nil,
          uri: String.t() | nil,
          emails: [String.t()],
          phones: [String.t()],
          connection: Connection.t() | nil,
          bandwidths: [bandwidth],
          timings: [Timing.t()],
          key: String.t() | nil,
          attributes: [attribute],
          media: [Media.t()],
          unknown: [line],
          order: String.t() | nil,
          defects: [defect]
        }

  @typedoc "A session or a media description: both have attributes."
  @type section :: t | Media.t()

  @typedoc "A `b=` line; the unit is that of the type: kbit/s of `CT` and `AS` (RFC 8866 §5.8), bit/s of `TIAS` (RFC 3890)."
  @type bandwidth :: {type :: String.t(), non_neg_integer}

  @typedoc "A line that is kept as it came: its letter, and what stands behind the `=`."
  @type line :: {letter :: String.t(), String.t()}

  @typedoc """
  What lenient parsing forgave. `line` counts from 1, `offset` from 0, `reason` is a `t:Sippet.SDP.ParseError.reason/0`.
  """
  @type defect :: %{
          line: pos_integer,
          offset: non_neg_integer,
          reason: ParseError.reason()
        }

  @typedoc """
  An `a=` line. Those that this library knows have an atom and a typed value:

  | attribute | value | |
  |---|---|---|
  | `:rtpmap` | `%{payload_type: 0..127, encoding_name: string, clock_rate: integer, parameters: string \\| nil}` | RFC 8866 §6.6 |
  | `:fmtp` | `%{format: string, parameters: string}` | §6.15 |
  | `:ptime`, `:maxptime` | milliseconds: an integer, or a string as in `"2.5"` | §6.4, §6.5 |
  | `:direction` | `:sendrecv`, `:sendonly`, `:recvonly`, `:inactive` | §6.7 |
  | `:candidate` | `%{foundation: string, component: integer, transport: string, priority: integer, address: string, port: integer, type: string, related_address: string \\| nil, related_port: integer \\| nil, extensions: [{name, value}]}` | RFC 8839 §5.1 |
  | `:ice_ufrag`, `:ice_pwd` | a string | RFC 8839 §5.4 |
  | `:ice_options` | a list of strings | RFC 8839 §5.6 |
  | `:ice_lite`, `:ice_mismatch` | `true` | RFC 8839 §5.3 |
  | `:ice_pacing` | an integer | RFC 8839 §5.5 |
  | `:fingerprint` | `%{hash: string, value: string}` | RFC 8122 §5 |
  | `:setup` | `:active`, `:passive`, `:actpass`, `:holdconn` | RFC 4145 §4 |
  | `:mid` | a string | RFC 5888 §4 |
  | `:group` | `%{semantics: string, mids: [string]}` | RFC 5888 §5 |
  | `:msid` | `%{id: string, appdata: string \\| nil}` | RFC 8830 §2 |
  | `:ssrc` | `%{ssrc: integer, attribute: string, value: string \\| true}` | RFC 5576 §4.1 |
  | `:ssrc_group` | `%{semantics: string, ssrcs: [integer]}` | RFC 5576 §4.2 |
  | `:crypto` | `%{tag: integer, suite: string, key_parameters: [string], session_parameters: [string]}` | RFC 4568 §9.1 |
  | `:rtcp` | `%{port: integer, network_type: string \\| nil, address_type: string \\| nil, address: string \\| nil}` | RFC 3605 |
  | `:rtcp_mux`, `:rtcp_rsize` | `true` | RFC 5761, RFC 5506 |
  | `:rtcp_fb` | `%{format: string, feedback: string, parameters: string \\| nil}` | RFC 4585 §4.2 |

  Any other has its name and the string behind the colon, `true` where there is no colon: `{"framerate", "15"}`. So has one
  of the above whose value is malformed: `{"ptime", "x"}`; the defects tell.
  """
  @type attribute :: {attribute_name, term}

  @typedoc "An atom of `t:attribute/0`, or any other name as a string."
  @type attribute_name :: atom | String.t()

  @typedoc "Which way media flow, seen by who wrote it."
  @type direction :: :sendrecv | :sendonly | :recvonly | :inactive

  @doc """
  Parses a session description.

  `data` is the body of a message, its lines ended by CRLF or LF. `options`:

    * `:mode` - `:lenient`, the default, takes what real devices send and lists the defects; `:strict` refuses the first
    * `:max_bytes` - bytes in all, 65 536 by default
    * `:max_lines` - lines, 4096
    * `:max_line_bytes` - bytes of a line, 8192
    * `:max_media` - media descriptions, 256
    * `:max_attributes` - attributes of one section, 1024

  Returns `{:ok, sdp}` or `{:error, %Sippet.SDP.ParseError{}}`. An unknown option or a wrong value raises `ArgumentError`;
  bytes from the network never do. Long strings refer to `data`. RFC 8866 §5, §9.

      iex> {:error, %Sippet.SDP.ParseError{reason: :too_long}} = Sippet.SDP.parse("v=0\\r\\n", max_bytes: 4)
      iex> {:ok, sdp} = Sippet.SDP.parse("v=0\\r\\no=- 1 1 IN IP4 a\\r\\ns=-\\r\\nt=0 0\\r\\na=ptime:x\\r\\n")
      iex> {sdp.attributes, sdp.defects}
      {[{"ptime", "x"}], [%{line: 5, offset: 35, reason: :attribute}]}
  """
  @spec parse(iodata, [ParseOptions.option()]) :: {:ok, t} | {:error, ParseError.t()}
  def parse(data, options \\ []) do
    {mode, limits} = ParseOptions.read(options)
    Native.SDP.parse(IO.iodata_to_binary(data), mode, limits)
  end

  @doc """
  Parses a session description as `parse/2` does; raises the error where that returns one.
  """
  @spec parse!(iodata, [ParseOptions.option()]) :: t
  def parse!(data, options \\ []) do
    case parse(data, options) do
      {:ok, sdp} -> sdp
      {:error, error} -> raise error
    end
  end

  @doc """
  The description as it is sent, its lines ended by CRLF.

  A value that cannot be written, because it has a wrong shape, would be read back as something else, or holds CR, LF or
  NUL, raises `ArgumentError` naming the field by its path (see `Sippet.SDP.WriteError`).

      iex> sdp = %Sippet.SDP{session_name: "a\\r\\nm=audio 9 RTP/AVP 0"}
      iex> try do Sippet.SDP.to_iodata(sdp) rescue error in ArgumentError -> error.message end
      "cannot write [:session_name]: there is a CR, LF or NUL in the value"
  """
  @spec to_iodata(t) :: iodata
  def to_iodata(%__MODULE__{} = sdp) do
    case Native.SDP.write(sdp) do
      {:ok, binary} -> binary
      {:error, error} -> raise ArgumentError, Exception.message(error)
    end
  end

  @doc """
  The description as a string, see `to_iodata/1`.

      iex> Sippet.SDP.to_string(%Sippet.SDP{})
      "v=0\\r\\no=- 0 0 IN IP4 0.0.0.0\\r\\ns=-\\r\\nt=0 0\\r\\n"
  """
  @spec to_string(t) :: String.t()
  def to_string(%__MODULE__{} = sdp), do: sdp |> to_iodata() |> IO.iodata_to_binary()

  @doc """
  The value of the first attribute of this name, or `nil`.

      iex> Sippet.SDP.attribute(%Sippet.SDP.Media{attributes: [ptime: 20, rtcp_mux: true]}, :rtcp_mux)
      true
  """
  @spec attribute(section, attribute_name) :: term
  def attribute(%{attributes: attributes} = _section, name) do
    with {_name, value} <- List.keyfind(attributes, name, 0), do: value
  end

  @doc """
  The values of all attributes of this name, in their order.

      iex> media = %Sippet.SDP.Media{attributes: [{"x", "1"}, {:ptime, 20}, {"x", true}]}
      iex> Sippet.SDP.attributes(media, "x")
      ["1", true]
  """
  @spec attributes(section, attribute_name) :: [term]
  def attributes(%{attributes: attributes} = _section, name),
    do: for({^name, value} <- attributes, do: value)

  @doc """
  Sets the attribute of this name: the value stands where the first one stood, else last; others of the name go.

      iex> media = %Sippet.SDP.Media{attributes: [direction: :sendrecv, ptime: 20]}
      iex> Sippet.SDP.put_attribute(media, :direction, :sendonly).attributes
      [direction: :sendonly, ptime: 20]
  """
  @spec put_attribute(section, attribute_name, term) :: section
  def put_attribute(%{attributes: attributes} = section, name, value) do
    attributes =
      case Enum.split_while(attributes, &(elem(&1, 0) != name)) do
        {before, []} -> before ++ [{name, value}]
        {before, [_old | rest]} -> before ++ [{name, value} | without(rest, name)]
      end

    %{section | attributes: attributes}
  end

  @doc """
  Adds an attribute behind the others.

      iex> Sippet.SDP.add_attribute(%Sippet.SDP.Media{attributes: [mid: "0"]}, "x", true).attributes
      [{:mid, "0"}, {"x", true}]
  """
  @spec add_attribute(section, attribute_name, term) :: section
  def add_attribute(%{attributes: attributes} = section, name, value),
    do: %{section | attributes: attributes ++ [{name, value}]}

  @doc """
  Removes all attributes of this name.

      iex> Sippet.SDP.delete_attribute(%Sippet.SDP.Media{attributes: [mid: "0", ptime: 20]}, :mid).attributes
      [ptime: 20]
  """
  @spec delete_attribute(section, attribute_name) :: section
  def delete_attribute(%{attributes: attributes} = section, name),
    do: %{section | attributes: without(attributes, name)}

  defp without(attributes, name), do: Enum.reject(attributes, &(elem(&1, 0) == name))

  @doc """
  The direction of a media description: its own, else that of the session, else `:sendrecv` (RFC 8866 §6.7).
  """
  @spec direction(t, Media.t()) :: direction
  def direction(%__MODULE__{} = sdp, %Media{} = media),
    do: attribute(media, :direction) || attribute(sdp, :direction) || :sendrecv

  @doc """
  The connection of a media description: its own, the first of several, else that of the session (RFC 8866 §5.7); `nil`
  where neither has one.

      iex> sdp = %Sippet.SDP{connection: %Sippet.SDP.Connection{address: "192.0.2.1"}}
      iex> Sippet.SDP.connection(sdp, %Sippet.SDP.Media{}).address
      "192.0.2.1"
  """
  @spec connection(t, Media.t()) :: Connection.t() | nil
  def connection(%__MODULE__{connection: connection}, %Media{connections: []}), do: connection
  def connection(%__MODULE__{}, %Media{connections: [connection | _others]}), do: connection

  defimpl String.Chars do
    defdelegate to_string(sdp), to: Sippet.SDP
  end
end
