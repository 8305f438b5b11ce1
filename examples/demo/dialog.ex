defmodule Demo.Dialog do
  @moduledoc """
  A dialog: what both ends of a call remember, and the requests made from it (§12). Dialogs are the core's business.
  """

  alias Sippet.{Message, URI}

  defstruct [:call_id, :local, :remote, :target, :route, :cseq]

  @doc "The dialog of the one who answered: `response` is the 2xx to `invite` (§12.1.1)."
  def uas(invite, response) do
    %__MODULE__{
      call_id: invite.headers.call_id,
      local: response.headers.to,
      remote: invite.headers.from,
      target: target(invite),
      route: Map.get(invite.headers, :record_route, []),
      cseq: 0
    }
  end

  @doc "The dialog of the one who called: `response` is the 2xx to `invite` (§12.1.2)."
  def uac(invite, response) do
    {cseq, :invite} = invite.headers.cseq

    %__MODULE__{
      call_id: invite.headers.call_id,
      local: invite.headers.from,
      remote: response.headers.to,
      target: target(response) || invite.start_line.request_uri,
      route: response.headers |> Map.get(:record_route, []) |> Enum.reverse(),
      cseq: cseq
    }
  end

  @doc "By what a dialog is found again; of a dialog, or of a request that came in it."
  def id(%__MODULE__{} = dialog), do: {dialog.call_id, tag(dialog.local), tag(dialog.remote)}

  def id(%Message{headers: %{to: to, from: from} = headers}),
    do: {headers.call_id, tag(to), tag(from)}

  @doc "Where the other end wants to get requests: the URI of its Contact, or nil."
  def target(%Message{headers: %{contact: [{_name, %URI{} = uri, _parameters} | _]}}), do: uri
  def target(_message), do: nil

  @doc "A request within the dialog (§12.2.1.1). An ACK has the number of its INVITE, any other request the next one."
  def request(dialog, method, via) do
    cseq = if method == :ack, do: dialog.cseq, else: dialog.cseq + 1
    request = Message.build_request(method, dialog.target)

    headers = %{
      via: via,
      max_forwards: 70,
      from: dialog.local,
      to: dialog.remote,
      call_id: dialog.call_id,
      cseq: {cseq, method}
    }

    headers = if dialog.route == [], do: headers, else: Map.put(headers, :route, dialog.route)
    %{request | headers: headers}
  end

  @doc "Tells whether a request was sent within a dialog: then its To has a tag."
  def within?(request), do: tag(request.headers.to) != nil

  defp tag({_name, _uri, parameters}), do: Map.get(parameters, "tag")
end
