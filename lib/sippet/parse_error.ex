defmodule Sippet.ParseError do
  @moduledoc """
  Bytes that are not a SIP message, or not one that this library takes.

    * `:reason` - what is wrong, a `t:reason/0`
    * `:header` - the field at fault: a key of the header map, atom or string, `:start_line`, `:body`, or nil where it is
      no part in particular
    * `:offset` - the byte, counted from 0, at which the grammar stopped
    * `:status_code` - what a request with this error earns: 400, or 414, 505, 513

      iex> {:error, error} = Sippet.Message.parse("BYE sip:biloxi.com SIP/2.0\\r\\nCSeq: one BYE\\r\\n\\r\\n")
      iex> {error.header, error.status_code}
      {:cseq, 400}
  """

  # The reasons of the parser (`sippet_proto::Reason`), each with its sentence.
  @reasons [
    empty: "there is no message in the bytes",
    message_too_long: "the message is too long",
    start_line_too_long: "the start line is too long",
    line_too_long: "the header field is too long",
    too_many_fields: "there are too many header fields",
    too_many_values: "there are too many values in the list",
    too_many_parameters: "there are too many parameters",
    too_many_folds: "there are too many continuation lines",
    bare_cr: "a CR is not followed by an LF",
    bare_lf: "a line ends in LF without CR",
    nul: "there is a NUL outside of a quoted pair",
    control_character: "there is a control character",
    missing_empty_line: "no empty line ends the header fields",
    body_too_short: "the body is shorter than Content-Length",
    start_line: "the start line is malformed",
    method: "the method is malformed",
    uri: "the URI is malformed",
    host: "the host is malformed",
    port: "the port is malformed",
    version: "the version is not SIP/2.0",
    status_code: "the status code is malformed",
    white_space: "there is white space where none belongs",
    header_line: "a line is not a header field",
    header_name: "the header field name is malformed",
    missing_field: "a mandatory header field is missing",
    duplicate_field: "the header field is there twice",
    empty_value: "the value is empty",
    empty_element: "a list element is empty",
    syntax: "the value is malformed",
    token: "a token is malformed",
    number: "a number is malformed or out of bounds",
    quoted_string: "a quoted string is malformed",
    display_name: "the display name is malformed",
    angle_brackets: "the angle brackets are malformed",
    parameter: "a parameter is malformed",
    duplicate_parameter: "a parameter is there twice",
    missing_parameter: "a mandatory parameter is missing",
    comment: "a comment is malformed",
    date: "the date is malformed",
    star_not_alone: "* stands beside other contacts"
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
  @type t :: %__MODULE__{
          reason: reason,
          header: atom | String.t() | nil,
          offset: non_neg_integer,
          status_code: 400..599
        }

  defexception [:reason, :header, :offset, :status_code]

  @doc "All reasons."
  @spec reasons() :: [reason]
  def reasons, do: Keyword.keys(@reasons)

  @doc """
  The error as a sentence.

      iex> Exception.message(%Sippet.ParseError{reason: :number, header: :cseq, offset: 35, status_code: 400})
      "a number is malformed or out of bounds (:cseq, byte 35)"
  """
  @impl true
  def message(%__MODULE__{reason: reason, header: header, offset: offset}) do
    place = if header == nil, do: "", else: "#{inspect(header)}, "
    "#{Keyword.get(@reasons, reason, reason)} (#{place}byte #{offset})"
  end
end
