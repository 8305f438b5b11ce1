defmodule Sippet.WriteError do
  @moduledoc """
  A message or a URI that cannot be written.

    * `:header` - the field that stands in the way: a key of the header map, atom or string, `:start_line`, `:body`, or nil
      where it is no part in particular or a URI alone
    * `:reason` - what is wrong, a `t:reason/0`

      iex> Exception.message(%Sippet.WriteError{header: :subject, reason: :control_character})
      "cannot write :subject: there is a CR, LF or NUL in the value"
  """

  # The reasons of the writer (`sippet_proto::WriteReason`) and of what turns terms into messages, each with its sentence.
  @reasons [
    control_character: "there is a CR, LF or NUL in the value",
    invalid_term: "the value has not the documented shape",
    unknown_header:
      "there is no header field of that name; others than the documented ones have a string as key",
    unknown_method: "the method is an atom that names none; give others as a string",
    unknown_protocol: "the protocol is an atom that names none; give others as a string",
    invalid_uri:
      "the URI has no scheme, has neither host nor authority, or is text that is no URI"
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
  @type t :: %__MODULE__{header: atom | String.t() | nil, reason: reason}

  defexception [:header, :reason]

  @doc "All reasons."
  @spec reasons() :: [reason]
  def reasons, do: Keyword.keys(@reasons)

  @doc "The error as a sentence."
  @impl true
  def message(%__MODULE__{header: nil, reason: reason}), do: sentence(reason)

  def message(%__MODULE__{header: header, reason: reason}),
    do: "cannot write #{inspect(header)}: #{sentence(reason)}"

  defp sentence(reason), do: Keyword.get(@reasons, reason, "#{reason}")
end
