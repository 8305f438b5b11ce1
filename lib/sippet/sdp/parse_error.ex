defmodule Sippet.SDP.ParseError do
  @moduledoc """
  Bytes that are not a session description, or not one that this library takes.

    * `:reason` - what is wrong, a `t:reason/0`
    * `:line` - the line, counted from 1
    * `:offset` - the byte, counted from 0, at which the line begins or the grammar stopped

      iex> {:error, error} = Sippet.SDP.parse("v=0\\r\\no=-\\r\\n")
      iex> {error.reason, error.line, Exception.message(error)}
      {:origin, 2, "the origin is missing or malformed (line 2, byte 5)"}
  """

  # The reasons of the parser (`sippet_proto::sdp::Reason`), each with its sentence.
  @reasons [
    empty: "there is no session description in the bytes",
    too_long: "the session description is too long",
    too_many_lines: "there are too many lines",
    line_too_long: "a line is too long",
    too_many_media: "there are too many media descriptions",
    too_many_attributes: "there are too many attributes",
    bare_cr: "a CR is not followed by an LF",
    nul: "there is a NUL",
    line: "a line is not a letter, = and a value",
    version: "the first line is not v=0",
    origin: "the origin is missing or malformed",
    media: "a media line is malformed",
    line_end: "a line does not end in CRLF",
    empty_line: "a line is empty",
    spelling: "there are spaces or zeros to spare in a line",
    order: "a line stands behind one that it belongs before",
    missing_line: "a mandatory line is missing",
    duplicate_line: "a line is there twice",
    unknown_line: "a line has a letter that is not known in its place",
    connection: "a connection line is malformed",
    bandwidth: "a bandwidth line is malformed",
    timing: "a timing line is malformed",
    repeat: "a repeat line is malformed or out of place",
    zone: "a time zone line is malformed or out of place",
    session_version: "the session version is not a number of 63 bits",
    attribute_name: "the name of an attribute is no token",
    attribute: "an attribute is malformed"
  ]

  @typedoc """
  What is wrong:

  #{Enum.map_join(@reasons, "\n", fn {reason, text} -> "  * `#{inspect(reason)}` - #{text}" end)}
  """
  @type reason ::
          unquote(
            @reasons
            |> Keyword.keys()
            |> Enum.reduce(&quote(do: unquote(&1) | unquote(&2)))
          )

  @typedoc "See the module."
  @type t :: %__MODULE__{reason: reason, line: pos_integer, offset: non_neg_integer}

  defexception [:reason, :line, :offset]

  @doc "All reasons."
  @spec reasons() :: [reason]
  def reasons, do: Keyword.keys(@reasons)

  @doc "The error as a sentence."
  @impl true
  def message(%__MODULE__{reason: reason, line: line, offset: offset}),
    do: "#{Keyword.get(@reasons, reason, reason)} (line #{line}, byte #{offset})"
end
