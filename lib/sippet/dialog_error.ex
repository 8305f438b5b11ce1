defmodule Sippet.DialogError do
  @moduledoc """
  A message makes no dialog, or does not belong into the one it is held against.

    * `:reason` - what is wrong, a `t:reason/0`
    * `:header` - the key of the header field at fault, or `nil`
    * `:status_code` - what a request with this error earns; `nil` for a response, which earns nothing

      iex> error = %Sippet.DialogError{reason: :out_of_order, header: :cseq, status_code: 500}
      iex> Exception.message(error)
      "the request is older than one that came before (:cseq)"
  """

  @reasons [
    not_dialog_forming: "no dialog comes of this method or status code",
    missing_field: "a header field that a dialog needs is missing",
    missing_tag: "the tag is missing",
    missing_contact: "there is no URI to send the requests of the dialog to",
    mismatch: "the response is not one to this request",
    no_dialog: "there is no such dialog",
    terminated: "the dialog has ended",
    out_of_order: "the request is older than one that came before",
    not_an_invite: "the header field belongs into an INVITE only",
    malformed: "the value is malformed, there twice, or contradicts another header field",
    confirmed: "the dialog is answered, and only an early one is wanted"
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
          status_code: 400..699 | nil
        }

  defexception [:reason, :header, :status_code]

  @doc "All reasons."
  @spec reasons() :: [reason]
  def reasons, do: Keyword.keys(@reasons)

  @doc """
  The error as a sentence.
  """
  @impl true
  def message(%__MODULE__{reason: reason, header: header}) do
    place = if header == nil, do: "", else: " (#{inspect(header)})"
    "#{Keyword.get(@reasons, reason, reason)}#{place}"
  end
end
